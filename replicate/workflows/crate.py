"""ro-crate-metadata.json: what an archive is and holds, for archives and search engines (RO-Crate 1.1)."""

import json
from collections.abc import Mapping
from typing import Any

FILE = "ro-crate-metadata.json"
LICENCE = {"@id": "https://spdx.org/licenses/MIT", "@type": "CreativeWork", "name": "MIT"}
PAPER = {
    "@id": "https://doi.org/10.5220/0011894400003417",
    "@type": "ScholarlyArticle",
    "name": "FlexPooling with Simple Auxiliary Classifiers in Deep Networks",
}
ITSELF = {
    "@id": FILE,
    "@type": "CreativeWork",
    "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    "about": {"@id": "./"},
}
FORMATS = {
    "csv": "text/csv", "gz": "application/gzip", "html": "text/html", "json": "application/json",
    "md": "text/markdown", "svg": "image/svg+xml", "yaml": "application/yaml", "yml": "application/yaml",
}  # fmt: skip


def metadata(campaign: str, day: str, files: Mapping[str, bytes]) -> bytes:
    """The same bytes for the same files.

    Args:
        day: of the last run, as 2026-11-28; files: all others of the archive, by their paths in it.
    """
    entities = [_file(path, content) for path, content in sorted(files.items())]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"FlexPooling replicated: campaign {campaign}",
        "description": "Specs, records, CSV files, report and code of a replication of FlexPooling (VISAPP"
        " 2023), from which every number can be computed again. README.md says how.",
        "datePublished": day,
        "license": {"@id": LICENCE["@id"]},
        "citation": {"@id": PAPER["@id"]},
        "hasPart": [{"@id": entity["@id"]} for entity in entities],
    }
    graph = [ITSELF, root, LICENCE, PAPER, *entities]
    crate = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}
    return f"{json.dumps(crate, indent=1)}\n".encode()


def _file(path: str, content: bytes) -> dict[str, Any]:
    kind = FORMATS.get(path.rpartition(".")[2], "text/plain")
    size = str(len(content))
    return {"@id": path, "@type": "File", "name": path, "encodingFormat": kind, "contentSize": size}
