"""A report as Markdown, HTML, PDF or JSON, or for a terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audit.render.paper import typeset
from audit.render.report_blocks import blocks, heading, preface
from audit.render.report_charts import charts
from audit.report import Report
from audit.text import counted, plain, table
from libraries import jinja2

_NUMBER = set("0123456789.—")


def markdown(report: Report) -> str:
    """Write Markdown; tables say what the charts show."""
    parts = [f"# {plain(heading(report))}", *(plain(sentence) for sentence in preface(report))]
    for block in blocks(report):
        parts.append(f"## {plain(block.title)}")
        cells = ([plain(cell) for cell in row] for row in block.rows)
        parts.append(table(block.heads, cells) if block.rows else plain(block.empty))
        if block.note and block.rows:
            parts.append(plain(block.note))
    return "\n\n".join(parts) + "\n"


def html(report: Report) -> str:
    """Write one self-contained page, with the charts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("audit.render", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        title=heading(report),
        sentences=preface(report),
        blocks=blocks(report),
        charts=charts(report),
        left_out=counted(report.left_out, "more is", "more are") if report.left_out else "",
        is_number=is_number,
    )


def pdf(report: Report) -> bytes:
    """Write a PDF, with the charts."""
    data = {
        "title": heading(report),
        "sentences": preface(report),
        "left_out": counted(report.left_out, "more is", "more are") if report.left_out else "",
        "charts": charts(report),
        "blocks": [
            {
                "title": block.title,
                "heads": block.heads,
                "rows": block.rows,
                "empty": block.empty,
                "note": block.note,
                "chart": block.chart,
                "numbers": _numeric(block.rows, len(block.heads)),
            }
            for block in blocks(report)
        ],
    }
    return typeset("report.typ", data)


def as_json(report: Report) -> str:
    """Write the report itself."""
    return report.model_dump_json(indent=2) + "\n"


def terminal(report: Report) -> RenderableType:
    """Lay it out for a terminal."""
    parts: list[RenderableType] = [Text(heading(report), style="bold"), *(Text(told) for told in preface(report))]
    for block in blocks(report):
        parts.append(Text(f"\n{block.title}", style="bold cyan"))
        if not block.rows:
            parts.append(Text(block.empty, style="dim"))
            continue
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for head, number in zip(block.heads, _numeric(block.rows, len(block.heads)), strict=True):
            shown.add_column(head, justify="right" if number else "left", overflow="fold")
        for row in block.rows:
            shown.add_row(*(Text(cell) for cell in row))
        parts.append(shown)
        if block.note:
            parts.append(Text(block.note, style="dim"))
    return Group(*parts)


def _numeric(rows: tuple[tuple[str, ...], ...], columns: int) -> list[bool]:
    """Tell which columns are to be set flush right."""
    return [bool(rows) and all(is_number(row[column]) for row in rows) for column in range(columns)]


def is_number(cell: str) -> bool:
    """Tell a number or a span from a name."""
    return cell[:1] in _NUMBER
