"""The paper as data: what it prints, what it claims, what it leaves open."""
