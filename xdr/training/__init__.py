"""The part of xdr that knows Lightning: modules and data modules, thin."""
