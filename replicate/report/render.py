"""Writes a report: markdown, one HTML file, LaTeX tables, claim sheets and the figures."""

import base64
import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import jinja2
from markupsafe import Markup

from replicate.errors import UserError
from replicate.files import atomic
from replicate.report.document import Document, Figure
from replicate.report.figures.style import picture
from replicate.report.sections.overview import document
from replicate.results.read import read_results

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", "Δ": r"$\Delta$", "−": "$-$", "×": r"$\times$",
    "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip


def render(root: Path, campaign: str) -> Path:
    """Make reports/<campaign>/ again from results/<campaign>/; returns the path of report.md.

    Raises:
        UserError: no such campaign, or a file that cannot be read.
    """
    report = document(read_results(root, campaign))
    (root / "reports").mkdir(exist_ok=True)
    with atomic.alone(root / "reports"):
        return _render(report, root / "reports" / campaign)


def _render(report: Document, folder: Path) -> Path:
    for place in (folder, folder / "figures"):
        if place.is_symlink():
            raise UserError(f"{place}: a link, and old figures are removed there: remove the link")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for place in (folder, folder / "figures"):
        atomic.sweep(place)
    files = {f"{figure.name}.svg": _drawn(figure) for figure in report.figures}
    for name, content in files.items():
        atomic.write_bytes(folder / "figures" / name, content)
    atomic.write_bytes(folder / "report.html", as_html(report, files))
    atomic.write_bytes(folder / "tables.tex", as_tex(report))
    atomic.write_bytes(folder / "claims.json", as_json(report))
    atomic.write_bytes(folder / "report.md", as_markdown(report))
    for path in (folder / "figures").glob("*.svg"):
        if path.name not in files:  # of an earlier report
            path.unlink()
    return folder / "report.md"


def _drawn(figure: Figure) -> bytes:
    return picture(figure.draw())


def as_markdown(report: Document) -> bytes:
    return _filled("report.md.jinja", escape_markdown, report=report)


def as_html(report: Document, files: dict[str, bytes]) -> bytes:
    """One file with everything in it.

    Args:
        files: with each figure's SVG by its file name.
    """
    inline = {
        figure.name: "data:image/svg+xml;base64,"
        + base64.b64encode(files[f"{figure.name}.svg"]).decode()
        for figure in report.figures
    }
    return _filled("report.html.jinja", html.escape, report=report, pictures=inline)


def as_tex(report: Document) -> bytes:
    """Tables 1 and 2, gains and overall answer, to be included in a LaTeX document."""
    return _filled("tables.tex.jinja", escape_tex, report=report, tables=report.appendix)


def as_json(report: Document) -> bytes:
    """The claim sheets."""
    return f"{json.dumps(report.sheets, indent=1, ensure_ascii=False)}\n".encode()


def escape_markdown(text: str) -> str:
    """Text that GitHub shows as it is, on one line, in a table too."""
    line = html.escape(_one_line(text), quote=False)
    return re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", line)


def escape_tex(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"[ \t\r\n\f\v\x85\u2028\u2029]+", " ", text).strip()


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
    environment.filters["html"] = lambda text: Markup(html.escape(_one_line(str(text))))
    environment.filters["oneline"] = lambda markup: Markup(str(markup).replace("\n", ""))
    return environment.get_template(template).render(**values).encode()
