REVOKE DELETE ON member_role FROM auth_app;
