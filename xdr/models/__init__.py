"""Plain nn.Modules. No Lightning here."""
