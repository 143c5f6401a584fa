"""ssh_config: what OpenSSH's configuration files say about one host.

Read here rather than by the SSH library, whose reader knows neither the passes of `Match final`,
nor which file and line a value stands in, nor that a value it has no use for was there.  Source:
ssh_config(5), and readconf.c of OpenSSH 9.2; `ssh -G` is what the tests hold it to.
"""

from fedwiz.ssh.sshconfig.line import ConfigValue, SshConfigError
from fedwiz.ssh.sshconfig.patterns import fits
from fedwiz.ssh.sshconfig.reading import SYSTEM_CONFIG, Config, look
from fedwiz.ssh.sshconfig.tokens import expanded, local_user, percents, standard

__all__ = [
    "SYSTEM_CONFIG",
    "Config",
    "ConfigValue",
    "SshConfigError",
    "expanded",
    "fits",
    "local_user",
    "look",
    "percents",
    "standard",
]
