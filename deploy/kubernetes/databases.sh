#!/bin/sh
# Run once by the postgres image on an empty volume: a role and databases for MLflow, and others for the studies.
# Passwords travel in the environment; psql reads them there, so that no command line holds them.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv mlflow_password MLFLOW_DATABASE_PASSWORD
\getenv studies_password STUDIES_DATABASE_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE studies LOGIN PASSWORD :'studies_password';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE studies OWNER studies;
REVOKE ALL ON DATABASE mlflow, mlflow_auth, studies FROM PUBLIC;
SQL
