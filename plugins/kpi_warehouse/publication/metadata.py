"""What catalogues read: DCAT 3 as JSON-LD, and a package description as CKAN's API takes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kpi_warehouse.publication.offer import Offer, Table

KUMAMOTO = {
    "@type": "dct:Location",
    "dct:identifier": "43000",
    "rdfs:label": {"@value": "熊本県", "@language": "ja"},
}
CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "spdx": "http://spdx.org/rdf/terms#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
FREQUENCY = "http://publications.europa.eu/resource/authority/frequency/"


@dataclass(frozen=True)
class PublishedFile:
    """A file of a release. `table` None: it belongs to all. `address` is relative to the catalogue unless a web address is set."""

    path: str
    address: str
    table: str | None
    label_ja: str
    media_type: str
    form: str
    sha256: str
    bytes: int


def dcat(offer: Offer, files: list[PublishedFile], released_on: str) -> bytes:
    """The catalogue as JSON-LD: a dataset per table with its distributions, and the whole."""
    catalogue = {
        "@context": CONTEXT,
        "@type": "dcat:Catalog",
        "dct:title": _both(offer.title_ja, offer.title_en),
        "dct:description": {"@value": offer.description_ja, "@language": "ja"},
        "dct:publisher": _publisher(offer),
        "dct:license": {"@id": offer.licence},
        "dct:modified": {"@value": released_on, "@type": "xsd:date"},
        "dct:language": "ja",
        "dcat:distribution": [_distribution(offer, file) for file in files if file.table is None],
        "dcat:dataset": [_dataset(offer, table, files, released_on) for table in offer.tables],
    }
    return _json(catalogue)


def ckan(offer: Offer, files: list[PublishedFile], released_on: str) -> bytes:
    """The whole as one package for CKAN's `package_create`, with a resource per file."""
    package = {
        "name": "kumamoto-kpi",
        "title": offer.title_ja,
        "notes": offer.description_ja + "\n\n" + "\n".join(offer.credits_ja),
        "author": offer.publisher_ja,
        "maintainer": offer.publisher_ja,
        "license_id": offer.licence_id,
        "tags": [{"name": keyword} for keyword in offer.keywords_ja],
        "extras": [
            {"key": "language", "value": "ja"},
            {"key": "spatial", "value": "43000"},
            {"key": "frequency", "value": offer.frequency},
            {"key": "modified", "value": released_on},
        ],
        "resources": [
            {
                "name": file.label_ja,
                "url": file.address,
                "format": file.form,
                "mimetype": file.media_type,
                "size": file.bytes,
                "hash": f"sha256:{file.sha256}",
                "last_modified": released_on,
            }
            for file in files
        ],
    }
    return _json(package)


def _dataset(offer: Offer, table: Table, files: list[PublishedFile], released_on: str) -> dict[str, Any]:
    found = {
        "@type": "dcat:Dataset",
        "dct:identifier": table.title_en,
        "dct:title": _both(table.title_ja, table.title_en.replace("_", " ")),
        "dct:description": {"@value": table.comment_ja, "@language": "ja"},
        "dct:publisher": _publisher(offer),
        "dct:license": {"@id": offer.licence},
        "dct:accrualPeriodicity": {"@id": FREQUENCY + offer.frequency},
        "dct:spatial": KUMAMOTO,
        "dct:modified": {"@value": released_on, "@type": "xsd:date"},
        "dct:provenance": [{"@value": credit, "@language": "ja"} for credit in offer.credits_ja],
        "dcat:keyword": [{"@value": keyword, "@language": "ja"} for keyword in offer.keywords_ja],
        "dcat:distribution": [_distribution(offer, file) for file in files if file.table == table.title_en],
    }
    span = table.span()
    if span is not None:
        found["dct:temporal"] = {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": {"@value": span[0].isoformat(), "@type": "xsd:date"},
            "dcat:endDate": {"@value": span[1].isoformat(), "@type": "xsd:date"},
        }
    return found


def _distribution(offer: Offer, file: PublishedFile) -> dict[str, Any]:
    return {
        "@type": "dcat:Distribution",
        "dct:title": {"@value": file.label_ja, "@language": "ja"},
        "dct:license": {"@id": offer.licence},
        "dcat:downloadURL": {"@id": file.address},
        "dcat:mediaType": {"@id": f"https://www.iana.org/assignments/media-types/{file.media_type}"},
        "dcat:byteSize": {"@value": str(file.bytes), "@type": "xsd:nonNegativeInteger"},
        "spdx:checksum": {
            "spdx:algorithm": {"@id": "spdx:checksumAlgorithm_sha256"},
            "spdx:checksumValue": file.sha256,
        },
    }


def _publisher(offer: Offer) -> dict[str, Any]:
    return {"@type": "foaf:Organization", "foaf:name": {"@value": offer.publisher_ja, "@language": "ja"}}


def _both(japanese: str, english: str) -> list[dict[str, str]]:
    return [{"@value": japanese, "@language": "ja"}, {"@value": english, "@language": "en"}]


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
