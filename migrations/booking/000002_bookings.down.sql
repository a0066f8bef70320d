DROP TABLE booking;
DROP TABLE staff;
DROP TABLE merchant;
DROP EXTENSION btree_gist;
