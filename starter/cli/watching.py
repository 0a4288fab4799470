"""Following a change in the terminal: live there, plain lines elsewhere, JSON lines when asked for."""

from collections.abc import AsyncIterator

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from starter.cli import shapes
from starter.cli.change_screens import entry_line, timeline
from starter.cli.output import Output
from starter.texts import Texts
from starter.views import TimelineEntry


async def watch(entries: AsyncIterator[TimelineEntry], output: Output, texts: Texts) -> str:
    """Show what happens until there is no more; return the last stage."""
    if not output.as_json and output.console.is_terminal:
        return await _live(entries, output.console, texts)
    stage = ""
    async for entry in entries:
        stage = entry.stage
        if output.as_json:
            output.line(shapes.plain(entry))
        else:
            output.console.print(Text(entry_line(entry, texts)))
            output.console.file.flush()
    return stage


async def _live(entries: AsyncIterator[TimelineEntry], console: Console, texts: Texts) -> str:
    seen: list[TimelineEntry] = []
    with Live(console=console, refresh_per_second=8) as live:
        async for entry in entries:
            seen.append(entry)
            told = timeline(seen, texts)
            live.update(Group(told, Spinner("dots", text=Text(texts.stage(entry.stage), style="cyan"))))
        stage = seen[-1].stage if seen else ""
        live.update(Group(timeline(seen, texts), Text(texts.stage(stage), style="bold")))
    return stage
