"""Who signs our certificates: one seam, `Issuer`, and those that stand behind it."""
