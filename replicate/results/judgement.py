"""From the runs of a campaign to every table that judges them."""

import pandas as pd

from replicate.paper import claims, tables
from replicate.plan.campaign import Campaign
from replicate.results.cells import Answers, cells_table
from replicate.results.claims import claims_table
from replicate.results.contrasts import Contrasts
from replicate.results.gains import gains_table
from replicate.results.overall import overall_table


def judged(
    campaign: Campaign, runs: pd.DataFrame, provenance: pd.DataFrame, answers: Answers
) -> dict[str, pd.DataFrame]:
    """cells.csv, gains.csv, overall.csv and claims.csv.

    Args:
        runs: of runs.csv; provenance: of provenance.csv; answers: of the records, where they are at hand.
    """
    printed = tables.read_tables(campaign.root)
    cells = cells_table(campaign, runs, provenance, answers)
    contrasts = Contrasts(campaign, printed, runs, provenance, cells, answers)
    return {
        "cells.csv": cells,
        "gains.csv": gains_table(contrasts),
        "overall.csv": overall_table(contrasts),
        "claims.csv": claims_table(contrasts, claims.findings(campaign.root, printed)),
    }
