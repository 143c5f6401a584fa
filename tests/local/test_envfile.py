import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedwiz.model.envfile import values, with_values
from fedwiz.scripts import script
from fedwiz.steps.make import hashed

PACKAGED = '# etcd url\nFLANNEL_ETCD="http://127.0.0.1:2379"\n\n# prefix\nFLANNEL_ETCD_KEY="/atomic.io/network"\n#FLANNEL_OPTIONS=""\n'  # noqa: E501

EDITS = {
    "in place": (
        PACKAGED,
        {"FLANNEL_ETCD": "http://fed-master:2379"},
        PACKAGED.replace("http://127.0.0.1:2379", "http://fed-master:2379"),
    ),
    "a comment is no setting": (
        PACKAGED,
        {"FLANNEL_OPTIONS": "-ip-masq"},
        PACKAGED + 'FLANNEL_OPTIONS="-ip-masq"\n',
    ),
    "no file yet": ("", {"A": "1", "B": "2"}, 'A="1"\nB="2"\n'),
    "a last line without its newline": ("A=1", {"B": "2"}, 'A=1\nB="2"\n'),
    "what sed and re take for more": (
        "A=1\n",
        {"A": r"a|b&c\1/d"},
        'A="a|b&c\\1/d"\n',
    ),
    "indented, and twice": ('  A=1\nA="2"\n', {"A": "3"}, 'A="3"\nA="3"\n'),
    "a longer name is another": ("AB=1\n", {"A": "2"}, 'AB=1\nA="2"\n'),
}


@pytest.mark.parametrize(("text", "wanted", "after"), EDITS.values(), ids=EDITS)
def test_an_edit(text: str, wanted: dict[str, str], after: str, tmp_path: Path) -> None:
    assert with_values(text, wanted) == after
    assert on_a_host(tmp_path / "flanneld", text, wanted) == after
    assert {name: values(after)[name] for name in wanted} == wanted


NAMES = st.sampled_from(["FLANNEL_ETCD", "FLANNEL_ETCD_KEY", "FLANNEL_OPTIONS", "A"])
LINES = st.one_of(
    st.text("ABC =#\"'/\\|&$`", max_size=12),
    NAMES,
    st.tuples(
        st.sampled_from(["", " ", "# ", "export "]), NAMES, st.text("a\"'/ &|\\", max_size=8)
    ).map(lambda parts: f"{parts[0]}{parts[1]}={parts[2]}"),
)
VALUES = st.text("abc019:/.,-_ =|&\\", max_size=12)


@settings(max_examples=60)
@given(
    st.lists(LINES, max_size=5),
    st.booleans(),
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=3),
)
def test_the_shell_does_what_the_plan_shows(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], ended: bool, wanted: dict[str, str]
) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    path = tmp_path_factory.mktemp("sysconfig") / "flanneld"
    assert on_a_host(path, text, wanted) == with_values(text, wanted)


def on_a_host(path: Path, text: str, wanted: dict[str, str]) -> str:
    if text:
        path.write_text(text)
    words = [word for pair in wanted.items() for word in pair]
    seen = hashed(text) if text else "absent"
    argv = ["sh", "-c", script("sysconfig"), "sysconfig.sh", str(path), seen, *words]
    subprocess.run(argv, check=True)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    return path.read_text()
