--- Names of C++ and Rust as binaries have them: ns::f(int) is _ZN2ns1fEi there.
-- @module luaprobe.mangled
local M = {}

--- Whether a name is written as in the source: no binary has such a one.
function M.is_source_name(name)
  return name:find("::", 1, true) ~= nil or name:find "%)$" ~= nil or name:find "%) const$" ~= nil
end

-- What the mangled names of a function begin with, whatever its parameters are; Itanium C++ ABI, 5.1. Behind it stands
-- E, or I for a template, or Rust's hash.
local function prefixes(name)
  local parts = {}
  for part in name:gsub("%(.*", ""):gsub("%b<>", ""):gmatch "[^:]+" do parts[#parts + 1] = #part .. part end
  local text = table.concat(parts)
  if #parts == 1 then return { "_Z" .. text } end
  return { "_ZN" .. text .. "E", "_ZNK" .. text .. "E", "_ZN" .. text .. "I", "_ZN" .. text .. "17h" }
end

--- The functions of a list that a name of the source may mean.
-- @tparam string name "ns::Foo::bar(int)"
-- @tparam {string,…} list mangled names
-- @treturn {string,…} in the order of the list
function M.find(name, list)
  local found = {}
  for _, other in ipairs(list) do
    for _, prefix in ipairs(prefixes(name)) do
      if other:sub(1, #prefix) == prefix then
        found[#found + 1] = other
        break
      end
    end
  end
  return found
end

return M
