package broach

// pickFunc is a Balancer made of a function.
type pickFunc func(call CallInfo, providers []Provider) int

func (f pickFunc) Pick(call CallInfo, providers []Provider) int { return f(call, providers) }
