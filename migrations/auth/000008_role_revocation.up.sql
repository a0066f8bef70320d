-- A role that was granted can be taken back.
GRANT DELETE ON member_role TO auth_app;
