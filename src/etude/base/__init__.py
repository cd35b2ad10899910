"""What everybody may use; these import nothing of Étude's but one another."""
