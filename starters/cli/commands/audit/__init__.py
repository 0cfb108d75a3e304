"""`runbooks audit`: the execution history, read and proved afterwards."""

from starters.cli.commands.audit.archive import archive
from starters.cli.commands.audit.export import export
from starters.cli.commands.audit.metrics import metrics
from starters.cli.commands.audit.postmortem import postmortem
from starters.cli.commands.audit.redact import redact
from starters.cli.commands.audit.report import report
from starters.cli.commands.audit.search import search
from starters.cli.commands.audit.show import show
from starters.cli.commands.audit.verify import verify
from starters.cli.groups import group

app = group("Read and prove what has been done.")
app.command()(show)
app.command()(search)
app.command()(report)
app.command()(metrics)
app.command()(postmortem)
app.command()(archive)
app.command()(redact)
app.command()(verify)
app.command()(export)
