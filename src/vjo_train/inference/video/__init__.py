"""Prediction on the frames of video files, cameras and streams. Decoding is PyAV's, which brings its own FFmpeg."""
