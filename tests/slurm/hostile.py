"""Values that no field of a job may take: shells would run a part of them, or sbatch would read an option."""

from __future__ import annotations

from pathlib import Path

SHELL = (
    *("$({})", "`{}`", ";{}", "; {} #", "|{}", "||{}", "&&{}", "&{}&", "\n{}\n", "\r\n{}", "$(\n{}\n)"),
    *("${{IFS}};{}", "';{};'", '";{};"', "'$({})'", '"$({})"', "\\$({})", "$'\\n{}'", "<({})", ">({})", "{{{},}}"),
    *("!{}", "{} ", " {}", "(){{ :;}};{}", "-$({})", "$[$({})]", "$(({}))", "a[$({})]", "x=$({})", "%$({})"),
    *("\t{}", "\v{}", "\f{}", "#\n{}", "eval {}", "exec {}", "sh -c '{}'", "trap '{}' EXIT", "env -S '{}'"),
)
"""How text becomes a command."""

STARTS = ("", "main", "1", "a,b")
"""What such a text hides behind."""

OPTIONS = (
    *("--wrap={}", "-o {}", "--output={}", "--error={}", "--chdir=/", "--uid=0", "--export=ALL,BASH_ENV={}"),
    *("--prolog={}", "--task-prolog={}", "--bcast={}", "--get-user-env", "--parsable", "-W", "--help", "--"),
    *("--mail-type=ALL {}", "#SBATCH --wrap={}", "main --wrap={}", "main\n#SBATCH -o {}", "main\0--wrap={}"),
    *("=--wrap={}", "main,--wrap={}"),
)
"""How a value becomes an option."""

ODD = (
    *(
        "",
        " ",
        "\n",
        "main\n",
        "\nmain",
        "main\0",
        "\x1b[2J",
        "\x7f",
        "ｍａｉｎ；ｔｏｕｃｈ",
        "main\u2028x",
        "\u202emain",
    ),
    *("../../etc/passwd", "/etc/passwd", "~root/x", "$HOME/x", "${PATH}", "$IFS$9", "a" * 5000, "%j%N%u", "a\\b"),
    *("*/*", "??/?", "é", "名", "١٢", "1\u00a02", "０", "a b", "a=b", "a@$", "a'b", 'a"b', "a`b", "-1.5"),
)
"""Nothing to run, and still no word."""


def values(canary: Path) -> list[str]:
    """All of them; whoever runs one leaves the canary's file behind."""
    touch = f"touch {canary}"
    shell = [start + form.format(touch) for start in STARTS for form in SHELL]
    options = [form.format(canary) for form in OPTIONS]
    return list(dict.fromkeys([*shell, *options, *ODD]))
