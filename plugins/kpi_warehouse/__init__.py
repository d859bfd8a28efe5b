"""The KPI warehouse of Kumamoto Prefecture: fetch, stage, gate, publish and build, and what they stand on."""
