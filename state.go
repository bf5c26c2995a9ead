package broach

// A peerState is what we believe of a peer, [MEM-13] to [MEM-19]. A process that nobody has met has none.
//
//	alive -> suspect     it answered no probe, nor a witness for it [MEM-13]
//	suspect -> alive     it was heard [MEM-17]
//	suspect -> offline   it was not heard until its time to refute was over [MEM-14]
//	alive -> offline     another process is at its address [LNK-10], or Offline was said of it and Pings are in vain [MEM-30]
//	offline -> alive     it was heard [MEM-17]
//	any -> left          it said Leave [MEM-19]
type peerState uint8

const (
	stateAlive   peerState = iota // it answers
	stateSuspect                  // it answers neither us nor a witness
	stateOffline                  // it is contacted now and then
	stateLeft                     // it is not, and is soon forgotten
)

// memberNews is what may become of a peer, for those who are told.
type memberNews uint8

const (
	newsUp memberNews = iota // it was found, or is alive or reachable again
	newsSuspect
	newsOffline
	newsLeft
	newsUnreachable // by us, though it lives
)

func (n memberNews) String() string {
	return [...]string{"up", "suspect", "offline", "left", "unreachable"}[n]
}

// News is what a state is to those who are told of it.
func (s peerState) News() memberNews {
	return [...]memberNews{stateAlive: newsUp, stateSuspect: newsSuspect, stateOffline: newsOffline, stateLeft: newsLeft}[s]
}

func (s peerState) String() string { return [...]string{"alive", "suspect", "offline", "left"}[s] }
