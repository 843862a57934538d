"""What the database knows of a study: who owns what, how much may be done. All SQL on studies is here."""
