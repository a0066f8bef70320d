DROP TABLE merchant_member;
