#!/bin/sh
# Run once by the postgres image, when the data folder is empty: the roles and schemas of roles.sql.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --no-psqlrc --quiet --set ON_ERROR_STOP=1 \
  --set owner_password="$(cat /run/secrets/gateway_owner_db_password)" \
  --set gateway_password="$(cat /run/secrets/gateway_db_password)" \
  --set app_password="$(cat /run/secrets/app_db_password)" \
  --file /docker-entrypoint-initdb.d/roles.psql
