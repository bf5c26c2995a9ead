package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"broach/bench/internal/checkout"
)

// programs measure: this one, or those built from it in other layouts and against another checkout. Of each side there
// is one for each layout.
type programs struct {
	now, before []string
}

// of is the program that measures a system in a round.
func (p programs) of(s system, round int) string {
	side := p.now
	if s.before {
		side = p.before
	}
	return side[round%len(side)]
}

// programs builds in dir what the plan needs. Where two sides are compared, the same command has built both.
func (p plan) programs(ctx context.Context, dir string) (all programs, err error) {
	if p.pair.Dir == "" && p.layouts == 0 {
		own, err := os.Executable()
		return programs{now: []string{own}}, err
	}
	if all.now, err = p.build(ctx, dir, "now", ""); err != nil || p.pair.Dir == "" {
		return all, err
	}
	all.before, err = p.build(ctx, dir, "before", p.pair.Dir)
	return all, err
}

// build builds one side.
func (p plan) build(ctx context.Context, dir, side, broach string) (list []string, _ error) {
	first, last := min(p.layouts, 1), p.layouts // 0 is the linker's own, which is there if no other is asked for
	for layout := first; layout <= last; layout++ {
		fmt.Printf("build %s %d/%d\n", side, layout-first+1, last-first+1)
		path := filepath.Join(dir, fmt.Sprintf("%s%d.exe", side, layout)) // Windows runs no other name
		b := checkout.Build{Package: "broach/bench", Broach: broach, Layout: layout}
		if err := b.Make(ctx, path); err != nil {
			return nil, err
		}
		list = append(list, path)
	}
	return list, nil
}
