"""One line of ssh_config: its keyword, its words, and whether ssh would take it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from fedwiz.ssh.sshconfig.patterns import in_list

KEYWORDS = frozenset(
    """
    addkeystoagent addressfamily batchmode bindaddress bindinterface canonicaldomains
    canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots canonicalizepermittedcnames
    casignaturealgorithms certificatefile challengeresponseauthentication channeltimeout
    checkhostip cipher ciphers clearallforwardings compression compressionlevel connectionattempts
    connecttimeout controlmaster controlpath controlpersist dsaauthentication dynamicforward
    enableescapecommandline enablesshkeysign escapechar exitonforwardfailure fallbacktorsh
    fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout
    forwardx11trusted gatewayports globalknownhostsfile globalknownhostsfile2
    gssapiauthentication gssapiclientidentity gssapidelegatecredentials gssapikexalgorithms
    gssapikeyexchange gssapirenewalforcesrekey gssapiserveridentity gssapitrustdns hashknownhosts
    host hostbasedacceptedalgorithms hostbasedacceptedkeytypes hostbasedauthentication
    hostbasedkeytypes hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent
    identityfile identityfile2 ignoreunknown include ipqos kbdinteractiveauthentication
    kbdinteractivedevices keepalive kexalgorithms knownhostscommand localcommand localforward
    loglevel logverbose macs match nohostauthenticationforlocalhost numberofpasswordprompts
    obscurekeystroketiming passwordauthentication permitlocalcommand permitremoteopen
    pkcs11provider port preferredauthentications protocol proxycommand proxyjump proxyusefdpass
    pubkeyacceptedalgorithms pubkeyacceptedkeytypes pubkeyauthentication refuseconnection
    rekeylimit remotecommand remoteforward requesttty requiredrsasize revokedhostkeys
    rhostsauthentication rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv
    serveralivecountmax serveraliveinterval sessiontype setenv skeyauthentication smartcarddevice
    stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking syslogfacility tag
    tcpkeepalive tisauthentication tunnel tunneldevice updatehostkeys useblacklistedkeys
    useprivilegedport user userknownhostsfile userknownhostsfile2 useroaming usersh
    verifyhostkeydns versionaddendum visualhostkey warnweakcrypto xauthlocation
    afstokenpassing kerberosauthentication kerberostgtpassing
    """.split()  # noqa: SIM905 - one word a line would fill three screens
)
"""What ssh 10 knows, and what earlier ones knew; another word is refused, as by ssh."""

ALIASES = {
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "identityfile2": "identityfile",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "smartcarddevice": "pkcs11provider",
}
SEVERAL = frozenset({"identityfile", "certificatefile"})
"""What adds up; of all else the first value is right."""

UNPARSED = frozenset({"proxycommand", "knownhostscommand", "localcommand", "remotecommand"})
"""The rest of the line is the value, quotes and all."""

SPEAKING = frozenset(
    """
    casignaturealgorithms ciphers hostkeyalgorithms kexalgorithms macs pubkeyacceptedalgorithms
    checkhostip hashknownhosts identitiesonly pubkeyauthentication proxyusefdpass
    canonicalizehostname stricthostkeychecking addressfamily bindaddress bindinterface
    certificatefile hostkeyalias hostname identityagent identityfile port proxyjump
    requiredrsasize revokedhostkeys user preferredauthentications tag
    """.split()  # noqa: SIM905 - one word a line would fill three screens
)
"""What takes one word; a second is an error."""

_YES = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
VALUES: Mapping[str, Mapping[str, str]] = {
    "checkhostip": _YES,
    "hashknownhosts": _YES,
    "identitiesonly": _YES,
    "proxyusefdpass": _YES,
    "pubkeyauthentication": _YES | {"unbound": "yes", "host-bound": "yes"},
    "canonicalizehostname": _YES | {"always": "always"},
    "addressfamily": {"any": "any", "inet": "inet", "inet6": "inet6"},
    "stricthostkeychecking": _YES | {"ask": "ask", "off": "no", "accept-new": "accept-new"},
}
"""The values there are, in any case of letters, and what they come to."""


class SshConfigError(ValueError):
    """A line that ssh would not take either, or that is not supported here; names the line."""


@dataclass(frozen=True, slots=True)
class ConfigValue:
    """One value, and where it stands."""

    keyword: str
    """As it is written."""

    words: tuple[str, ...]
    file: str
    line: int

    @property
    def where(self) -> str:
        """File and line, for sentences."""
        return f"line {self.line} of {self.file}" if self.file else "the answers"


@lru_cache(maxsize=1 << 16)
def parse(line: str, file: str, number: int, ignored: str) -> ConfigValue | None:
    """A line's keyword and words; None where it says nothing.

    Kept, for a file is read anew for each host.

    Args:
        line: the line.
        file: for sentences.
        number: for sentences.
        ignored: the patterns of IgnoreUnknown.

    Raises:
        BadConfig: ssh would not take that line.
    """
    found = re.match(r'[ \t\r]*"?([^\s="#]+)"?(?:[ \t]*=[ \t]*|[ \t]+|$)(.*)', line.rstrip())
    if found is None:
        if re.fullmatch(r"\s*(#.*)?", line):
            return None
        raise SshConfigError(f"line {number} of {file}: that is no option: correct it")
    keyword, rest = found[1], found[2].strip(" \t\r\f")
    said = ConfigValue(keyword, (rest,), file, number)
    if keyword.lower() not in KEYWORDS:
        if in_list(keyword.lower(), ignored.lower()):
            return None
        raise SshConfigError(
            f"{said.where}: ssh has no option {keyword}: correct it, or name it in "
            f"`IgnoreUnknown` before that line"
        )
    words = tuple(split(rest, said))
    if not words or (not words[0] and keyword.lower() not in UNPARSED):
        raise SshConfigError(f"{said.where}: {keyword} has no value: give it one")
    if keyword.lower() in UNPARSED:
        return ConfigValue(keyword, (rest.lstrip("= \t"),), file, number)
    if keyword.lower() == "match":
        return said
    if keyword.lower() in SPEAKING and len(words) > 1:
        raise SshConfigError(f"{said.where}: {keyword} takes one value: correct it")
    return ConfigValue(keyword, words, file, number)


def checked_value(said: ConfigValue) -> ConfigValue:
    """The same with its value in the one way to write it.

    Raises:
        BadConfig: there is no such value.
    """
    keyword, value = said.keyword.lower(), said.words[0]
    if keyword == "port" and not (re.fullmatch(r"[0-9]{1,5}", value) and 0 < int(value) < 65536):
        raise SshConfigError(f"{said.where}: {value} is no port: correct it")
    if keyword == "requiredrsasize" and not value.isdecimal():
        raise SshConfigError(f"{said.where}: {said.keyword} wants a number: correct it")
    if keyword == "proxyjump" and re.search(r"(^|,)\s*(,|$)|[\s\"']", value):
        raise SshConfigError(f"{said.where}: ProxyJump wants hosts with commas between: correct it")
    files = keyword in ("userknownhostsfile", "globalknownhostsfile")
    if files and len(said.words) > 1 and "none" in (word.lower() for word in said.words):
        raise SshConfigError(f"{said.where}: `none` goes with no other file: correct it")
    if keyword not in VALUES:
        return said
    if value.lower() not in VALUES[keyword]:
        raise SshConfigError(
            f"{said.where}: {said.keyword} is no {value}: "
            f"write {', '.join(dict.fromkeys(VALUES[keyword].values()))}"
        )
    return ConfigValue(said.keyword, (VALUES[keyword][value.lower()],), said.file, said.line)


def split(text: str, said: ConfigValue) -> Iterator[str]:
    """Words as ssh parts them: quotes, backslashes, and `#` where a word would begin.

    Raises:
        BadConfig: a quote without its twin.
    """
    at = 0
    while True:
        while at < len(text) and text[at] in " \t":
            at += 1
        if at >= len(text) or text[at] == "#":
            return
        word, quote = "", ""
        while at < len(text) and (quote or text[at] not in " \t"):
            letter = text[at]
            if letter == "\\" and text[at + 1 : at + 2] in _escaped(quote):
                at += 1
                word += text[at]
            elif not quote and letter in "\"'":
                quote = letter
            elif quote and letter == quote:
                quote = ""
            else:
                word += letter
            at += 1
        if quote:
            raise SshConfigError(f"{said.where}: a quote has no twin: correct it")
        yield word


def _escaped(quote: str) -> tuple[str, ...]:
    return ("'", '"', "\\") if quote else ("'", '"', "\\", " ")
