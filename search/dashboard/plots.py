"""optuna-dashboard's plots, made to end at many trials: they show a choice, and say above them of how many.

The page holds every trial: its list, its table and its search know all. But it draws a dot, a bar and a curve of its
own for each, which takes a browser minutes at 10,000. Where its script is another than we know, a plot stays as it is.
"""

import re

DOTS, CURVES, BARS = 4_000, 200, 1_000  # trials in a plot
TRIAL = rb"[A-Za-z_$][\w$]*"
# All improvements, so that the best are among them, the latest, and of the others every so many-th
PRELUDE = b"""let searchUnread=0,searchDrawn;
const searchTold=d=>{searchUnread=d.search_unread||0;return d};
const searchSay=(id,shown,all,what)=>{setTimeout(()=>{
  const at=document.getElementById(id),n=x=>x.toLocaleString("en");if(!at)return;
  const unread=searchUnread?`${n(searchUnread)} more trials are being read, for the next update. `:"";
  const few=shown<all?`${n(shown)} of ${n(all)} trials: ${what}; the table and the list have all.`:"";
  let note=at.previousElementSibling;
  if(!note||note.className!=="search-bounded"){
    if(!unread&&!few)return;
    note=document.createElement("div");note.className="search-bounded";at.before(note)}
  note.textContent=unread+few})};
const searchPick=(trials,limit,last)=>{
  const step=trials.length/(limit-last),kept=new Set();
  for(let i=0;i<limit-last;i++)kept.add(Math.floor(i*step));
  for(let i=trials.length-last;i<trials.length;i++)kept.add(i);return kept};
const searchDots=(trials,value)=>{
  if(trials.length<=%(dots)d){searchSay("plot-history",trials.length,trials.length,"");return trials}
  const kept=searchPick(trials,%(dots)d,500);let low=Infinity,high=-Infinity;
  trials.forEach((t,i)=>{const v=value(t);
    if(t.state==="Complete"&&(v<low||v>high)){kept.add(i);low=Math.min(low,v);high=Math.max(high,v)}});
  const found=trials.filter((t,i)=>kept.has(i)),what="every improvement, the latest, and a spread of the others";
  searchSay("plot-history",found.length,trials.length,what);return found};
const searchCurves=trials=>{
  const drawn=trials.filter(t=>t.intermediate_values.length);if(drawn.length<=%(curves)d)return drawn;
  const kept=searchPick(drawn,%(curves)d,100),found=drawn.filter((t,i)=>kept.has(i));
  searchSay("graph-intermediate-values",found.length,drawn.length,"the latest 100 and a spread of the others");
  return found};
const searchBars=trials=>{
  const found=trials.slice(-%(bars)d);
  if(found.length<trials.length)searchSay("graph-timeline",found.length,trials.length,"the latest");return found};
""" % {b"dots": DOTS, b"curves": CURVES, b"bars": BARS}
STYLE = "<style>.search-bounded { font: 13px sans-serif; opacity: 0.7; padding: 4px 8px }</style>"
# What is there, once, and what takes its place
REWRITES = (
    (  # what the server tells of a study beside what the page knows
        rb"(=yield this\.handleResponse\(\w\)),(%(t)s=(%(t)s)\.trials\.map)" % {b"t": TRIAL},
        rb"\1,searchTelling=searchTold(\3),\2",
    ),
    (  # a curve of each trial
        rb"(\w=)(\w\.filter\(\w=>!\w&&\"Complete\"===\w\.state\|\|!\w&&\"Pruned\"===\w\.state&&\w\.values"
        rb"&&\w\.values\.length>0\|\|\"Running\"===\w\.state\))(,\w=\w\.map\()",
        rb"\1searchCurves(\2)\3",
    ),
    (  # a dot of each trial
        rb"(\.push\(\{x:)(\w)(\.map\(\w\),y:)\2(\.map\((\w)=>(\w)\.getTargetValue\(\5\)\),"
        rb"name:`\$\{\6\.toLabel\(\w\.metric_names\)\} of \$\{\w\.study_name\}`,marker:\{size:\w\},"
        rb"mode:\"markers\",type:\"scatter\",text:)\2\.map",
        rb"\1(searchDrawn=searchDots(\2,\5=>\6.getTargetValue(\5)))\3searchDrawn\4searchDrawn.map",
    ),
    (  # a bar of each trial
        rb"(const (\w)=)(\w)(\.filter\((\w)=>\5\.state===\w\);if\(0!==\2\.length\)if\(\"Complete\"===)",
        rb"\1searchBars(\3)\4",
    ),
)


def bounded(script: bytes) -> bytes:
    """The script, whose plots show a choice where there are many trials."""
    for pattern, words in REWRITES:
        if len(re.findall(pattern, script)) == 1:
            script = re.sub(pattern, words, script)
    return script
