"""The skeleton line (NTU rules), the graph of joints, training views, streams, and the ragged set on the device."""
