package main

import (
	"math"
	"time"

	"broach/bench/internal/cputime"

	"golang.org/x/sync/errgroup"
)

func processor(t *trial) ([]float64, error) {
	if err := t.gather(); err != nil {
		return nil, err
	}
	time.Sleep(afterglow)
	return []float64{processorUse(metered)}, nil
}

// processorUse is the part of one processor that this process uses in a time.
func processorUse(in time.Duration) float64 {
	before := cputime.Used()
	time.Sleep(in)
	return float64(cputime.Used()-before) / float64(in)
}

const (
	crowds     = 3
	crowdSize  = 100
	crowdRests = 5 * time.Second // a crowd that takes longer to come to rest is overloading its machine
)

// crowd lets clusters join at once that share the processors.
func crowd(t *trial) ([]float64, error) {
	all := []*cluster{t.cluster}
	for i := range uint64(crowds - 1) {
		c := newCluster(t.system, i)
		defer c.close()
		all = append(all, c)
		if err := c.add(1); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	joined, err := joinAll(start, all)
	if err != nil {
		return nil, err
	}
	time.Sleep(crowdRests - time.Since(start))
	before := sent(all)
	use := processorUse(crowdRests)
	each := float64(sent(all)-before) / crowdRests.Seconds() / (crowds * crowdSize)
	return []float64{joined, each, use}, nil
}

// joinAll lets the rest of some clusters join at once, and returns how long it took until all saw all, infinitely long
// for more than crowdRests.
func joinAll(start time.Time, clusters []*cluster) (joined float64, err error) {
	var group errgroup.Group
	for _, c := range clusters {
		group.Go(func() error { return c.add(crowdSize - 1) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	for _, c := range clusters {
		for !c.allSeeAll() {
			if time.Since(start) > crowdRests {
				return math.Inf(1), nil
			}
			time.Sleep(poll)
		}
	}
	return time.Since(start).Seconds(), nil
}

// sent counts the datagrams of some clusters.
func sent(clusters []*cluster) (n int) {
	for _, c := range clusters {
		n += c.net.total().datagrams
	}
	return n
}
