-- Who may do what in one database shared by the gateway and the applications behind it.
--   gateway_owner  owns the schema auth; used by `session-gateway migrate` alone
--   gateway        reads and writes rows of auth; what the running gateway connects as
--   app            owns the schema app; the applications. Nothing of auth.
CREATE ROLE gateway_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE gateway LOGIN PASSWORD :'gateway_password';
CREATE ROLE app LOGIN PASSWORD :'app_password';

REVOKE ALL ON DATABASE app FROM PUBLIC;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT CONNECT ON DATABASE app TO gateway_owner, gateway, app;

CREATE SCHEMA auth AUTHORIZATION gateway_owner;
CREATE SCHEMA app AUTHORIZATION app;

GRANT USAGE ON SCHEMA auth TO gateway;
-- For the tables and sequences that migrations make, today's and tomorrow's.
ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner IN SCHEMA auth GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO gateway;
ALTER DEFAULT PRIVILEGES FOR ROLE gateway_owner IN SCHEMA auth GRANT USAGE ON SEQUENCES TO gateway;
