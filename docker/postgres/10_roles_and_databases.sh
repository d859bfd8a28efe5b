#!/usr/bin/env bash
# Runs once, when the data volume is empty. Makes the logins and databases; schemas, tables and the roles without login
# are the business of `kpi db migrate`.
set -euo pipefail

# psql reads the passwords itself, so that none of them stands on a command line.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set owner_password `cat "${KPI_SECRETS_DIR:-/run/secrets}/kpi_owner_password"`
\set reader_password `cat "${KPI_SECRETS_DIR:-/run/secrets}/kpi_reader_password"`
\set airflow_password `cat "${KPI_SECRETS_DIR:-/run/secrets}/airflow_password"`

-- The owner makes kpi_loader and kpi_transformer when it migrates, hence CREATEROLE; and a database for each preview of a
-- replay (`kpi replay FEED --since`), hence CREATEDB.
create role kpi_owner login createrole createdb password :'owner_password';
create role kpi_reader login password :'reader_password';
create role airflow login password :'airflow_password';
-- The migration sets limits on kpi_reader. It may alter the role, not act as it.
grant kpi_reader to kpi_owner with admin true, inherit false, set false;

-- PostgreSQL lets everyone keep large objects; kpi_reader may only read. New databases take this over from template1.
\connect template1
do $$
declare
    every regprocedure;
begin
    for every in
        select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_|loread$|lowrite$)'
    loop
        execute format('revoke execute on function %s from public', every);
    end loop;
end
$$;
\connect postgres

create database kpi owner kpi_owner;
create database airflow owner airflow;
revoke connect, temporary on database kpi, airflow, postgres from public;
grant connect on database kpi to kpi_reader;
SQL
