"""The report of a campaign, made from its CSV files and the paper's tables alone.

read -> sections (tables, figures) -> render: report.md, report.html, tables.tex, claims.json, figures/
"""
