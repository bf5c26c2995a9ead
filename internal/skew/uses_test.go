package skew

import (
	"fmt"
	"reflect"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// wantedOf is what a call wants that wants one result.
func wantedOf[T any]() []reflect.Type { return []reflect.Type{reflect.TypeFor[T]()} }

// A Use is found by the types of its arguments and results; who adds one that another was faster to add gets that.
func TestAUseIsFoundByItsTypes(t *testing.T) {
	var s Uses
	none, hasRoom := s.Find("f", []any{1}, wantedOf[string]())
	require.Nil(t, none)
	require.True(t, hasRoom)
	u := s.Add("f", NewUse([]any{1}, wantedOf[string](), new(Outline)))
	require.Same(t, u, s.Add("f", NewUse([]any{2}, wantedOf[string](), new(Outline))))
	for _, args := range [][]any{{1}, {7}} {
		found, hasRoom := s.Find("f", args, wantedOf[string]())
		require.Same(t, u, found)
		require.False(t, hasRoom, "there is one")
	}
	for _, args := range [][]any{nil, {""}, {nil}, {1, 1}} {
		none, hasRoom = s.Find("f", args, wantedOf[string]())
		require.Nil(t, none, "%v", args)
		require.True(t, hasRoom)
	}
	none, _ = s.Find("f", []any{1}, wantedOf[int]())
	require.Nil(t, none)
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Find("f", nil, nil) }))
}

// The limits of comparisons: functions, ways to call each, providers, descriptions that are kept.
func TestComparisonsAreBounded(t *testing.T) {
	var s Uses
	add := func(service string, args int) (hasRoom bool) {
		list, wanted := make([]any, args), wantedOf[int]()
		if _, hasRoom = s.Find(service, list, wanted); hasRoom {
			s.Add(service, NewUse(list, wanted, new(Outline)))
		}
		return hasRoom
	}
	for i := range usesMost + 10 {
		require.Equal(t, i < usesMost, add("f", i), "%d", i)
	}
	for i := range servicesMost + 100 {
		require.Equal(t, i < servicesMost-1, add(fmt.Sprint("f", i), 0), "%d", i)
	}
	require.True(t, add("f0", 1), "of one that is known")
	require.Len(t, *s.all.Load(), servicesMost)

	u := NewUse(nil, nil, new(Outline))
	for i := range ProvidersMost + 100 {
		u.Put(editionAt(i), Waiting)
		require.Same(t, Waiting, u.Verdict(editionAt(i)))
		require.LessOrEqual(t, len(*u.verdicts.Load()), ProvidersMost)
	}
	var d Descriptions
	for i := range 3 * keptMost {
		d.Keep("f", editionAt(i), make([]byte, 64<<10))
		body, ok := d.Get("f", editionAt(i))
		require.True(t, ok)
		require.Len(t, body, 64<<10)
		require.LessOrEqual(t, d.size, keptRoom)
		require.LessOrEqual(t, len(d.bodies), keptMost)
	}
	for i := range 3 * keptMost {
		d.Keep("g", editionAt(i), nil)
		require.LessOrEqual(t, len(d.bodies), keptMost)
	}
}

func editionAt(i int) Edition { return Edition{Process: wire.Process{Boot: 1}, Table: uint32(i + 1)} }

// One asks, all others wait for that. What came of it is asked again only if it failed and may end otherwise.
func TestOneAsks(t *testing.T) {
	u := NewUse(nil, nil, new(Outline))
	by := editionAt(0)
	require.True(t, u.Verdict(by).IsOpen())
	for _, v := range []*Verdict{
		Waiting, {Failed: fmt.Errorf("not now")}, {Failed: fmt.Errorf("never"), IsLasting: true},
	} {
		u.Put(by, v)
		require.Equal(t, !v.IsLasting, v.IsOpen())
		if v.IsLasting {
			break
		}
		claimed, isMine := u.Claim(by)
		require.True(t, isMine)
		other, isMine := u.Claim(by)
		require.False(t, isMine)
		require.Same(t, claimed, other)
		require.False(t, other.IsOpen())
		u.Settle(by, claimed, &Verdict{Difference: "x"})
		<-other.Asked()
		require.Equal(t, "x", u.Verdict(by).Difference)
		require.Nil(t, u.Verdict(by).Asked())
	}
	v, isMine := u.Claim(by)
	require.False(t, isMine, "that is the last word")
	require.True(t, v.IsLasting)
	require.Nil(t, u.Verdict(editionAt(1)), "another table")
}
