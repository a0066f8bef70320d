DROP TABLE service_client;
DROP TABLE signing_key;
DROP TABLE login_attempt;
DROP TABLE session;
DROP TABLE member_role;
DROP TABLE member_password;
DROP TABLE member;
