"""The commands that manage campaigns: from listing and waiting to archiving and export."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from replicate.errors import UserError, plain
from replicate.options import EVERY, HERE, Begun, Every, Group, Json, Root, chosen, place
from replicate.text import say

app = typer.Typer(cls=Group, rich_markup_mode=None)


@app.command()
def campaigns(as_json: Json = False, root: Root = HERE) -> None:
    """List campaigns: protocol, state, size and last change. Writes nothing."""
    from replicate.workflows.campaigns import campaigns

    print(campaigns(root, as_json))


@app.command()
def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER", help="Such as elsewhere/results/short, with its runs/."),
    ],
    campaign: Annotated[
        str | None, typer.Option(help="Into this one. Default: that of the first folder.")
    ] = None,
    root: Root = HERE,
) -> None:
    """Take the runs of another machine or person into a campaign, also those only begun; exit code 1 if any
    was not taken.

    What is there is never overwritten.
    """
    from replicate.workflows.merge import merge

    done = merge(root, [place(folder) for folder in folders], campaign)
    for line in done.conflicts:
        say(f"not taken: {line}")
    print(done)
    sys.exit(bool(done.conflicts))


@app.command()
def compare(here: Begun, there: Begun, as_json: Json = False, root: Root = HERE) -> None:
    """Show how two campaigns differ: cells, gains and all of it, with intervals, and their origins."""
    from replicate.workflows.compare import compare

    print(compare(root, here, there, as_json))


@app.command()
def drop(
    cell: Annotated[str, typer.Argument(help="A cell of it, or a folder or glob of cells.")],
    campaign: Begun,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="SEEDS", help="Only these, which must not have ended: such as 5-9."),
    ] = None,
    root: Root = HERE,
) -> None:
    """Take cells, or seeds that have not ended, out of a campaign, and report anew. Records stay."""
    from replicate.workflows.drop import drop

    print(plain(drop(root, cell, campaign, chosen(seeds))))


@app.command()
def archive(campaign: Begun, root: Root = HERE) -> None:
    """Move a campaign, with its report, out of the way into archive/. Deletes nothing."""
    from replicate.workflows.remove import archive, belongings

    found = belongings(root, campaign)
    said = str(found)
    print(f"{said}: now in {archive(found)}")


@app.command()
def remove(
    campaign: Begun,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    root: Root = HERE,
) -> None:
    """Delete a campaign and its report for good, once it is said what goes."""
    from replicate.workflows.remove import belongings, remove

    found = belongings(root, campaign)
    print(f"deletes for good: {found}", flush=True)
    if not yes and not (sys.stdin and sys.stdin.isatty()):
        keeping = f"`replicate archive {campaign}` keeps them elsewhere"
        raise UserError(f"nobody to ask: --yes deletes them, {keeping}")
    if yes or typer.confirm("Delete them?"):
        remove(found)
        print("deleted")
    else:
        print("nothing was deleted")


@app.command()
def wait(
    campaign: Begun,
    every: Every = EVERY,
    root: Root = HERE,
) -> None:
    """Wait until SLURM has nothing left to do for a campaign; exit code 1 if any run has no accuracy."""
    from replicate.plan.campaign import open_campaign
    from replicate.workflows.follow import wait_for_end

    sys.exit(wait_for_end(open_campaign(root, campaign), every))


@app.command()
def cancel(campaign: Begun, root: Root = HERE) -> None:
    """End a campaign's jobs on the cluster. Results and checkpoints stay."""
    from replicate.dispatch.slurm.jobs import cancel_campaign
    from replicate.plan.campaign import bare_campaign

    ended = cancel_campaign(bare_campaign(root, campaign))
    print(f"cancelled: {', '.join(ended) or 'nothing was queued or running'}")


@app.command()
def export(
    campaign: Begun,
    output: Annotated[
        Path | None,
        typer.Option(callback=place, help="The archive. Default: <campaign>.tar.gz, here."),
    ] = None,
    root: Root = HERE,
) -> None:
    """Pack specs, records, CSV files, environment and report: all to compute every number again."""
    from replicate.workflows.export import export

    print(export(root, campaign, output))
