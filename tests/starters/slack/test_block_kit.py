"""Whatever a run says of itself and whatever people write, Slack takes the blocks, and nothing in them is obeyed."""

from starters.slack import forms, limits
from tests.activities.contracts.block_kit import faults_of_view
from tests.starters.slack.blocks import every
from workers.registry import Procedure


@every
def test_the_start_modal_of_every_procedure_is_taken(procedure: Procedure) -> None:
    services = [f"service-{number}" for number in range(150)]
    blocks = forms.inputs(procedure.request, given={}, services=services)
    view = limits.view(procedure.title, blocks, callback="start", data=procedure.command, submit="Start")
    assert faults_of_view(view) == []
    shown = {block["block_id"] for block in blocks}
    assert shown == {*procedure.request.model_fields} - forms.HIDDEN
