"""The metrics that the dbt project offers: valid to dbt, and only what adds up. `make metrics` asks MetricFlow itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kpi_warehouse.warehouse.connection import connect
from kpi_warehouse.warehouse.server import Running

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# What a column is called that must not be summed: places, shares, sums that run on, targets, other years beside this one.
NEVER_SUMMED = re.compile(
    "rank|percent|share|to_date|year_before|target|expected|median|total|estimate|progress"
)


@pytest.fixture(scope="module")
def manifest(built: tuple[Running, Path], published: None) -> Manifest:
    """The project as the build parsed it."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    (parsed,) = (built[1] / "dbt").glob("*.msgpack")
    return Manifest.from_msgpack(parsed.read_bytes(), decoder=extended_mashumuro_decoder)


def test_dbt_finds_the_metrics_sound(manifest: Manifest) -> None:
    from dbt.contracts.graph.semantic_manifest import SemanticManifest

    assert len(manifest.metrics) == 10 and len(manifest.semantic_models) == 5
    assert SemanticManifest(manifest).validate()


def test_only_what_adds_up_is_offered(manifest: Manifest) -> None:
    measures = {
        measure.name: (model, measure)
        for model in manifest.semantic_models.values()
        for measure in model.measures
    }
    used = {metric.type_params.measure.name for metric in manifest.metrics.values()}
    assert used == set(measures), "a measure without a metric, or a metric that is no measure"
    assert {metric.type.value for metric in manifest.metrics.values()} == {"simple"}
    with connect("kpi_reader") as reader:
        for name, (model, measure) in measures.items():
            formula = measure.expr or name
            assert measure.agg.value == "sum" and not NEVER_SUMMED.search(formula), (name, formula)
            relation = f"marts.{model.node_relation.alias}"
            (kind,) = reader.execute(
                f"select pg_typeof(sum({formula}))::text from {relation}"
            ).fetchone() or ("",)
            assert kind in ("numeric", "bigint"), (name, kind)
    for metric in manifest.metrics.values():
        assert re.search("[ぁ-んァ-ヶ一-龠]", metric.label) and metric.description, metric.name
