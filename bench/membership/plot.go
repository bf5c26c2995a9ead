package main

func (p plan) draw(r results, path string) error { return nil }
