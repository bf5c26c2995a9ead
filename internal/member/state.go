package member

// A State is what we believe of a peer, [MEM-13] to [MEM-19]. A process that nobody has met has none.
//
//	alive -> suspect     it answered no probe, nor a witness for it [MEM-13]
//	suspect -> alive     it was heard [MEM-17]
//	suspect -> offline   it was not heard until its time to refute was over [MEM-14]
//	alive -> offline     another process is at its address [LNK-10], or Offline was said of it and Pings are in vain [MEM-30]
//	offline -> alive     it was heard [MEM-17]
//	any -> left          it said Leave [MEM-19]
type State uint8

const (
	Alive   State = iota // it answers
	Suspect              // it answers neither us nor a witness
	Offline              // it is contacted now and then
	Left                 // it is not, and is soon forgotten
)

// News is what may become of a peer, for those who are told.
type News uint8

const (
	NewsUp News = iota // it was found, or is alive or reachable again
	NewsSuspect
	NewsOffline
	NewsLeft
	NewsUnreachable // by us, though it lives
)

func (n News) String() string {
	return [...]string{"up", "suspect", "offline", "left", "unreachable"}[n]
}

// News is what a state is to those who are told of it, of a peer that is reached.
func (s State) News() News {
	return [...]News{Alive: NewsUp, Suspect: NewsSuspect, Offline: NewsOffline, Left: NewsLeft}[s]
}

// news is what a peer is to those who are told of it. One that is alive may be out of reach from here.
func (p *peer) news() News {
	if p.state == Alive && p.unreachable {
		return NewsUnreachable
	}
	return p.state.News()
}

// News is what is told of the peer.
func (v *View) News() News {
	if v.State == Alive && v.Unreachable {
		return NewsUnreachable
	}
	return v.State.News()
}

func (s State) String() string { return [...]string{"alive", "suspect", "offline", "left"}[s] }
