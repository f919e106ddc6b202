"""Writes a report: markdown, one HTML file, LaTeX tables and the figures."""

import base64
import html
import re
from collections.abc import Callable
from pathlib import Path

import jinja2
from markupsafe import Markup

from replicate import atomic
from replicate.report.document import Document
from replicate.report.read import read
from replicate.report.sections import document
from replicate.report.style import picture

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "Δ": r"$\Delta$", "−": "$-$", "×": r"$\times$",
}  # fmt: skip


def render(root: Path, campaign: str) -> Path:
    """Make reports/<campaign>/ again from results/<campaign>/; returns the path of report.md.

    Raises:
        UserError: no such campaign, or a file that cannot be read.
    """
    report = document(read(root, campaign))
    folder = root / "reports" / campaign
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    pictures = {(figure.name, kind): picture(figure.drawing, kind) for figure in report.figures for kind in ("png", "svg")}
    for (name, kind), content in pictures.items():
        _write(folder / "figures" / f"{name}.{kind}", content)
    _write(folder / "report.html", as_html(report, {name: svg for (name, kind), svg in pictures.items() if kind == "svg"}))
    _write(folder / "tables.tex", as_tex(report))
    _write(folder / "report.md", as_markdown(report))
    _remove_others(folder / "figures", {f"{name}.{kind}" for name, kind in pictures})
    return folder / "report.md"


def as_markdown(report: Document) -> bytes:
    return _filled("report.md.jinja", escape_markdown, report=report)


def as_html(report: Document, pictures: dict[str, bytes]) -> bytes:
    """One file with everything in it.

    Args:
        pictures: each figure's SVG by its name.
    """
    inline = {name: "data:image/svg+xml;base64," + base64.b64encode(svg).decode() for name, svg in pictures.items()}
    return _filled("report.html.jinja", html.escape, report=report, pictures=inline)


def as_tex(report: Document) -> bytes:
    """The tables of accuracies, to be included in a LaTeX document."""
    return _filled("tables.tex.jinja", escape_tex, report=report, tables=report.accuracies)


def escape_markdown(text: str) -> str:
    """Text that GitHub shows as it is, on one line, in a table too."""
    line = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", line)


def escape_tex(text: str) -> str:
    return "".join(TEX.get(sign, sign) for sign in " ".join(text.split()))


def _filled(template: str, escape: Callable[[str], str], **values: object) -> bytes:
    """Fill a template in which every text that is printed is escaped, without being asked for it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escape(str(value))),
        autoescape=True,
    )
    environment.filters["oneline"] = lambda markup: Markup(str(markup).replace("\n", ""))
    return environment.get_template(template).render(**values).encode()


def _write(path: Path, content: bytes) -> None:
    with atomic.replacing(path) as file:
        file.write(content)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Figures of an earlier report that this one no longer has."""
    for path in folder.iterdir():
        if path.name not in names and path.suffix in (".png", ".svg"):
            path.unlink()
