"""Chat as rows of the records, for where no chat service is configured; message IDs are the rows' numbers."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from activities.common.effects import Change, Effect
from activities.common.errors import InvalidInput
from activities.messages.chat.chat import Message, PostMessage, ScheduleMessage, sought
from activities.messages.chat.pictures import drawn
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


class RecordsChat:
    """Keeps messages in the records; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def post(self, request: PostMessage) -> Message:
        """Keep a message."""
        if request.opened_by and not request.thread and not request.effect.dry_run:
            request = request.model_copy(update={"thread": sought(lambda: self._opened(request.opened_by))})
        return self._write(request, None)

    def _opened(self, key: str) -> str | None:
        """Find the message that an effect has kept."""
        with self._ledger.read() as rows:
            found = rows.execute("SELECT id FROM runbooks.messages WHERE effect_key = %s", (key,)).fetchone()
        return str(found["id"]) if found else None

    def schedule(self, request: ScheduleMessage) -> Message:
        """Keep a message with the time it is meant for; nothing posts it then."""
        return self._write(request, request.post_at)

    def _write(self, request: PostMessage | ScheduleMessage, post_at: datetime | None) -> Message:
        thread = _number(request.thread) if request.thread else None
        target = f"chat/{request.channel}"

        picture = request.picture if isinstance(request, PostMessage) else None
        png = drawn(picture) if picture else None  # before the transaction: it may take a second

        def work(rows: Rows) -> Change:
            number = _insert(rows, request, thread, post_at, png)
            return Change(target=target, after=f"message {number}", applied=True)

        action = "message.schedule" if post_at else "message.post"
        change = self._ledger.once(request.effect, action, work)
        return Message(
            channel=request.channel,
            message_id="" if request.effect.dry_run else change.after.removeprefix("message "),
            applied=change.applied,
            detail="in the records" if post_at is None else f"in the records, for {post_at:%F %H:%M %Z}",
        )


def _insert(
    rows: Rows, request: PostMessage | ScheduleMessage, thread: int | None, post_at: datetime | None, png: bytes | None
) -> int:
    effect: Effect = request.effect
    row = (
        rows.execute(
            """
        INSERT INTO runbooks.messages (channel, text, thread, post_at, picture, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING id
        """,
            (request.channel, request.text, thread, post_at, png, effect.workflow_id, effect.run_id, effect.key),
        ).fetchone()
        or {}
    )
    return int(row["id"])


def _number(thread: str) -> int:
    if not thread.isdecimal():
        raise InvalidInput("thread: not a message of the records' own chat; was the backend changed in between?")
    return int(thread)
