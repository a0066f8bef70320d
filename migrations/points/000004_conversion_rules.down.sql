DROP TABLE conversion_rule;
DROP EXTENSION btree_gist;
