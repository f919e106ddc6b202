"""What runs leave behind, and what it says.

    records -> rows -> aggregate -> CSV files -> checks -> read

Pure: `statistics`, `spread`, `images`, `differences`, `verdicts`. What they judge: `cells`, `gains`,
`overall`, `claims`, all of them by `judgement`. The rules stand in docs/statistics.md, their age in `rules`.
"""
