// Package broachtest runs clusters of real nodes in memory, for tests of programs that use broach. Nodes that it
// starts behave as any others, but their network is one that a test can make bad, cut, and look into:
//
//	func TestTheShopOutlivesAProvider(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			c := broachtest.New(t)
//			web, one, two := c.Start("web"), c.Start("shop"), c.Start("shop")
//			broachtest.Stub(one, "price", 7)
//			broachtest.Stub(two, "price", 7)
//			c.Settle()
//			c.Kill(one)
//			c.Settle() // web has noticed
//			price, err := broach.Call[int](t.Context(), web.Caller("price"), "milk")
//			if err != nil || price != 7 {
//				t.Errorf("price of milk: %d, %v", price, err)
//			}
//		})
//	}
//
// # Time
//
// In a bubble of testing/synctest, as above, time is virtual: a second in which nothing happens takes none, and a
// heartbeat that is late is late because the test made it so. Outside of a bubble the same methods work in real time.
// No socket of the system is opened in either; real ones do not work in a bubble. Make a cluster in the bubble in
// which it is used, with the t of that bubble: what was started ends there, by t.Cleanup. Its methods call
// synctest.Wait, in which no other goroutine may be meanwhile.
//
// # Reproducible runs
//
// All that is left to chance follows from the seed, which [New] prints when the test fails: what is lost and late,
// and what nodes choose. It is 1 unless [Seed] says otherwise; a loop over seeds meets more. On one processor, runs
// with one seed are the same to the nanosecond: go test -cpu 1 replays a failure. Only where the runtime interrupts a
// goroutine may the next one be first, which is rare: it does so to collect garbage, and after 10 ms on a machine that
// does much else, so GOGC=off before the command makes a replay surer. On several processors most runs are the same:
// what goroutines of one node say at one instant may go in one datagram or in two, and after that the luck is
// another. What a test does at one instant from several goroutines happens in any order, as does what goes on at the
// instant of a Resume. A node whose Conn an option has wrapped draws its keys from the system, and may do otherwise in
// each run.
//
// # Bad use
//
// A test that uses a cluster wrongly, such as by killing a node twice, fails with a sentence that begins with
// "broachtest:". As with t.FailNow, that ends the goroutine that did so, which should be that of the test.
package broachtest
