package main

import (
	"fmt"
	"time"
)

// settings are the same for all trials of a run.
type settings struct {
	nodes  int
	settle time.Duration // from when all see all to what is measured
	quiet  time.Duration // during which nothing happens
	cut    time.Duration // how long a network is cut
}

// A trial is one scenario with one system, once.
type trial struct {
	*cluster
	settings
	loss float64
}

// try runs a scenario on a new cluster.
func (s settings) try(what scenario, with system, seed uint64) ([]float64, error) {
	t := &trial{newCluster(with, seed), s, what.loss}
	defer t.close()
	if err := t.add(1); err != nil {
		return nil, err
	}
	return what.run(t)
}

// gather brings up all nodes and lets them settle, under the loss of the scenario.
func (t *trial) gather() error {
	start := time.Now()
	if err := t.add(t.nodes - 1); err != nil {
		return err
	}
	if since(start, t.allSeeAll) > limit.Seconds() {
		return fmt.Errorf("%d pairs of nodes do not see each other after %v", t.missing(), limit)
	}
	t.net.setLoss(t.loss)
	time.Sleep(t.settle)
	return nil
}
