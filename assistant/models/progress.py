"""A progress bar while models are fetched."""

import contextlib
from collections.abc import Iterator

from assistant.models.store import ModelSpec, ModelStore, Progress, Settle


def fetch_with_bar(store: ModelStore, names: list[str], *, force: bool = False) -> None:
    """Fetch as ModelStore.fetch does, with a progress bar on stderr while something is downloaded."""
    with _bar_when_needed() as progress:
        store.fetch(names, force=force, progress=progress)


def add_with_bar(store: ModelStore, spec: ModelSpec, check: Settle) -> ModelSpec:
    """Add as ModelStore.add does, with a progress bar."""
    with _bar_when_needed() as progress:
        return store.add(spec, check, progress)


@contextlib.contextmanager
def _bar_when_needed() -> Iterator[Progress]:
    with contextlib.ExitStack() as stack:
        bars: list[Progress] = []

        def progress(label: str, done: int, total: int) -> None:
            # A full cache must not pay for importing and drawing a bar that never moves.
            if not bars:
                bars.append(stack.enter_context(progress_bar()))
            bars[0](label, done, total)

        yield progress


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one bar per download on stderr, with size, speed and time left."""
    # Here and not at the top: it takes 100 ms, which `assistant --help` would pay too.
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def update(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield update
