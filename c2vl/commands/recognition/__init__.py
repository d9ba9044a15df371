"""Use trained encoders on skeletons: actions (`c2vl predict`), sentences (`c2vl search`)."""
